"""The parameters each operation knows, at the top level; anything else is refused, as Stripe does.

From the official SDK's parameter types (API version 2026-10-28.endive); a test compares the two.
"""


def _known(names: str) -> frozenset[str]:
    return frozenset(names.split())


_PAGE = "ending_before limit starting_after"
KNOWN: dict[tuple[str, str], frozenset[str]] = {
    ("POST", "/v1/account_links"): _known("account collect collection_options refresh_url return_url type"),
    ("GET", "/v1/accounts"): _known(f"{_PAGE} created"),
    ("POST", "/v1/accounts"): _known(
        "account_token business_profile business_type capabilities company controller country "
        "default_currency documents email external_account groups individual metadata settings tos_acceptance "
        "type"
    ),
    ("POST", "/v1/accounts/{id}"): _known(
        "account_token business_profile business_type capabilities company default_currency documents email "
        "external_account groups individual metadata settings tos_acceptance"
    ),
    ("GET", "/v1/balance_transactions"): _known(f"{_PAGE} created currency payout source type"),
    ("GET", "/v1/billing_portal/configurations"): _known(f"{_PAGE} active is_default"),
    ("POST", "/v1/billing_portal/configurations"): _known(
        "business_profile default_return_url features login_page metadata name"
    ),
    ("POST", "/v1/billing_portal/configurations/{id}"): _known(
        "active business_profile default_return_url features login_page metadata name"
    ),
    ("POST", "/v1/billing_portal/sessions"): _known(
        "after_expiration configuration customer customer_account flow_data locale on_behalf_of return_url"
    ),
    ("GET", "/v1/charges"): _known(f"{_PAGE} created customer payment_intent transfer_group"),
    ("GET", "/v1/charges/search"): _known("limit page query"),
    ("POST", "/v1/charges/{id}"): _known(
        "customer description fraud_details metadata receipt_email shipping transfer_group"
    ),
    ("GET", "/v1/charges/{id}/refunds"): _known(_PAGE),
    ("GET", "/v1/checkout/sessions"): _known(
        f"{_PAGE} created customer customer_account customer_details payment_intent payment_link status subscription"
    ),
    ("POST", "/v1/checkout/sessions"): _known(
        "adaptive_pricing after_expiration allow_promotion_codes allowed_payment_method_types automatic_tax "
        "billing_address_collection branding_settings cancel_url client_reference_id consent_collection "
        "currency custom_fields custom_text customer customer_account customer_creation customer_email "
        "customer_update discounts excluded_payment_method_types expires_at integration_identifier "
        "invoice_creation line_items locale managed_payments metadata mode name_collection optional_items "
        "origin_context payment_intent_data payment_method_collection payment_method_configuration "
        "payment_method_data payment_method_options permissions phone_number_collection "
        "redirect_on_completion return_url saved_payment_method_options setup_intent_data "
        "shipping_address_collection shipping_options submit_type subscription_data success_url "
        "tax_id_collection ui_mode wallet_options"
    ),
    ("POST", "/v1/checkout/sessions/{id}"): _known(
        "collected_information line_items metadata payment_intent_data shipping_options"
    ),
    ("GET", "/v1/checkout/sessions/{id}/line_items"): _known(_PAGE),
    ("GET", "/v1/customers"): _known(f"{_PAGE} created email test_clock"),
    ("POST", "/v1/customers"): _known(
        "address balance business_name cash_balance description email individual_name invoice_prefix "
        "invoice_settings metadata name next_invoice_sequence payment_method phone preferred_locales shipping "
        "source tax tax_exempt tax_id_data test_clock validate"
    ),
    ("GET", "/v1/customers/search"): _known("limit page query"),
    ("POST", "/v1/customers/{id}"): _known(
        "address balance business_name cash_balance default_source description email individual_name "
        "invoice_prefix invoice_settings metadata name next_invoice_sequence phone preferred_locales shipping "
        "source tax tax_exempt validate"
    ),
    ("GET", "/v1/customers/{id}/payment_methods"): _known(f"{_PAGE} allow_redisplay type"),
    ("GET", "/v1/disputes"): _known(f"{_PAGE} charge created payment_intent"),
    ("POST", "/v1/disputes/{id}"): _known("evidence intended_submission_method metadata submit"),
    ("GET", "/v1/events"): _known(f"{_PAGE} created delivery_success type types"),
    ("GET", "/v1/invoice_payments"): _known(f"{_PAGE} created invoice payment status"),
    ("GET", "/v1/invoices"): _known(
        f"{_PAGE} collection_method created customer customer_account due_date status subscription"
    ),
    ("POST", "/v1/invoices"): _known(
        "account_tax_ids application_fee_amount auto_advance automatic_tax automatically_finalizes_at "
        "collection_method currency custom_fields customer customer_account days_until_due "
        "default_payment_method default_source default_tax_rates description discounts due_date effective_at "
        "footer from_invoice issuer metadata number on_behalf_of payment_settings "
        "pending_invoice_items_behavior rendering shipping_cost shipping_details statement_descriptor "
        "subscription transfer_data"
    ),
    ("POST", "/v1/invoices/create_preview"): _known(
        "automatic_tax currency customer customer_account customer_details discounts invoice_items issuer "
        "on_behalf_of preview_mode schedule schedule_details subscription subscription_details"
    ),
    ("POST", "/v1/invoices/{id}/finalize"): _known("auto_advance"),
    ("GET", "/v1/invoiceitems"): _known(f"{_PAGE} created customer customer_account invoice pending"),
    ("POST", "/v1/invoiceitems"): _known(
        "amount currency customer customer_account description discountable discounts invoice metadata period "
        "price_data pricing quantity quantity_decimal subscription tax_behavior tax_code tax_rates "
        "unit_amount_decimal"
    ),
    ("GET", "/v1/invoices/search"): _known("limit page query"),
    ("POST", "/v1/invoices/{id}"): _known(
        "account_tax_ids application_fee_amount auto_advance automatic_tax automatically_finalizes_at "
        "collection_method custom_fields days_until_due default_payment_method default_source "
        "default_tax_rates description discounts due_date effective_at footer issuer metadata number "
        "on_behalf_of payment_settings rendering shipping_cost shipping_details statement_descriptor "
        "transfer_data"
    ),
    ("GET", "/v1/invoices/{id}/lines"): _known(_PAGE),
    ("POST", "/v1/invoices/{id}/pay"): _known("forgive mandate off_session paid_out_of_band payment_method source"),
    ("GET", "/v1/payment_intents"): _known(f"{_PAGE} created customer customer_account"),
    ("POST", "/v1/payment_intents"): _known(
        "allowed_payment_method_types amount amount_details application_fee_amount automatic_payment_methods "
        "capture_method confirm confirmation_method confirmation_token currency customer customer_account "
        "description error_on_requires_action excluded_payment_method_types hooks mandate mandate_data "
        "metadata off_session on_behalf_of payment_details payment_method payment_method_configuration "
        "payment_method_data payment_method_options radar_options receipt_email return_url setup_future_usage "
        "shipping statement_descriptor statement_descriptor_suffix transfer_data transfer_group "
        "use_stripe_sdk"
    ),
    ("GET", "/v1/payment_intents/search"): _known("limit page query"),
    ("GET", "/v1/payment_intents/{id}"): _known("client_secret"),
    ("POST", "/v1/payment_intents/{id}"): _known(
        "allowed_payment_method_types amount amount_details application_fee_amount capture_method currency "
        "customer customer_account description excluded_payment_method_types hooks metadata payment_details "
        "payment_method payment_method_configuration payment_method_data payment_method_options receipt_email "
        "setup_future_usage shipping statement_descriptor statement_descriptor_suffix transfer_data "
        "transfer_group"
    ),
    ("POST", "/v1/payment_intents/{id}/cancel"): _known("cancellation_reason"),
    ("POST", "/v1/payment_intents/{id}/capture"): _known(
        "amount_details amount_to_capture application_fee_amount final_capture hooks metadata payment_details "
        "statement_descriptor statement_descriptor_suffix transfer_data"
    ),
    ("POST", "/v1/payment_intents/{id}/confirm"): _known(
        "allowed_payment_method_types amount_details amount_to_confirm capture_method confirmation_token "
        "error_on_requires_action excluded_payment_method_types hooks mandate mandate_data off_session "
        "payment_details payment_method payment_method_data payment_method_options radar_options "
        "receipt_email return_url setup_future_usage shipping use_stripe_sdk"
    ),
    ("GET", "/v1/payment_methods"): _known(f"{_PAGE} allow_redisplay customer customer_account type"),
    ("POST", "/v1/payment_methods"): _known(
        "acss_debit affirm afterpay_clearpay alipay allow_redisplay alma amazon_pay au_becs_debit bacs_debit "
        "bancontact billie billing_details bizum blik boleto card cashapp crypto custom customer "
        "customer_balance eps fpx giropay grabpay ideal interac_present kakao_pay klarna konbini kr_card link "
        "mb_way metadata mobilepay multibanco naver_pay nz_bank_account oxxo p24 pay_by_bank payco "
        "payment_method paynow paypal paypay payto pix promptpay radar_options revolut_pay samsung_pay "
        "satispay scalapay sepa_debit sequra sofort sunbit swish twint type upi us_bank_account wechat_pay "
        "zip"
    ),
    ("POST", "/v1/payment_methods/{id}"): _known("allow_redisplay billing_details card metadata us_bank_account"),
    ("POST", "/v1/payment_methods/{id}/attach"): _known("customer customer_account"),
    ("GET", "/v1/prices"): _known(f"{_PAGE} active created currency lookup_keys product recurring type"),
    ("POST", "/v1/prices"): _known(
        "active billing_scheme currency currency_options custom_unit_amount lookup_key metadata nickname "
        "product product_data recurring tax_behavior tiers tiers_mode transfer_lookup_key transform_quantity "
        "unit_amount unit_amount_decimal"
    ),
    ("GET", "/v1/prices/search"): _known("limit page query"),
    ("POST", "/v1/prices/{id}"): _known(
        "active currency_options lookup_key metadata nickname tax_behavior transfer_lookup_key"
    ),
    ("GET", "/v1/products"): _known(f"{_PAGE} active created ids shippable type url"),
    ("POST", "/v1/products"): _known(
        "active default_price_data description id images marketing_features metadata name package_dimensions "
        "shippable statement_descriptor tax_code tax_details type unit_label url"
    ),
    ("POST", "/v1/products/{id}"): _known(
        "active default_price description images marketing_features metadata name package_dimensions "
        "shippable statement_descriptor tax_code tax_details unit_label url"
    ),
    ("GET", "/v1/refunds"): _known(f"{_PAGE} charge created payment_intent"),
    ("POST", "/v1/refunds"): _known(
        "amount charge currency customer instructions_email metadata origin payment_intent reason "
        "refund_application_fee reverse_transfer"
    ),
    ("POST", "/v1/refunds/{id}"): _known("metadata"),
    ("POST", "/v1/setup_intents"): _known(
        "allowed_payment_method_types attach_to_self automatic_payment_methods confirm confirmation_token "
        "customer customer_account description excluded_payment_method_types flow_directions mandate_data "
        "metadata on_behalf_of payment_method payment_method_configuration payment_method_data "
        "payment_method_options return_url single_use usage use_stripe_sdk"
    ),
    ("GET", "/v1/setup_intents"): _known(f"{_PAGE} attach_to_self created customer customer_account payment_method"),
    ("POST", "/v1/setup_intents/{id}"): _known(
        "allowed_payment_method_types attach_to_self customer customer_account description "
        "excluded_payment_method_types flow_directions metadata payment_method payment_method_configuration "
        "payment_method_data payment_method_options"
    ),
    ("GET", "/v1/setup_intents/{id}"): _known("client_secret"),
    ("POST", "/v1/setup_intents/{id}/cancel"): _known("cancellation_reason"),
    ("POST", "/v1/setup_intents/{id}/confirm"): _known(
        "allowed_payment_method_types confirmation_token mandate_data payment_method payment_method_data "
        "payment_method_options return_url use_stripe_sdk"
    ),
    ("GET", "/v1/subscription_items"): _known(f"{_PAGE} subscription"),
    ("POST", "/v1/subscription_items"): _known(
        "billing_thresholds current_trial discounts metadata payment_behavior plan price price_data "
        "proration_behavior proration_date quantity subscription tax_rates"
    ),
    ("POST", "/v1/subscription_items/{id}"): _known(
        "billing_thresholds current_trial discounts metadata off_session payment_behavior plan price price_data "
        "proration_behavior proration_date quantity tax_rates"
    ),
    ("DELETE", "/v1/subscription_items/{id}"): _known("clear_usage payment_behavior proration_behavior proration_date"),
    ("POST", "/v1/subscriptions/{id}/pause"): _known("bill_for invoicing_behavior type"),
    ("POST", "/v1/subscriptions/{id}/resume"): _known(
        "billing_cycle_anchor payment_behavior proration_behavior proration_date"
    ),
    ("GET", "/v1/subscriptions"): _known(
        f"{_PAGE} automatic_tax collection_method created current_period_end current_period_start customer "
        "customer_account plan price status test_clock"
    ),
    ("GET", "/v1/subscriptions/search"): _known("limit page query"),
    ("POST", "/v1/subscriptions"): _known(
        "add_invoice_items application_fee_percent automatic_tax backdate_start_date billing_cycle_anchor "
        "billing_cycle_anchor_config billing_mode billing_schedules billing_thresholds cancel_at "
        "cancel_at_period_end collection_method currency customer customer_account days_until_due "
        "default_payment_method default_source default_tax_rates description discounts invoice_settings items "
        "metadata off_session on_behalf_of payment_behavior payment_settings pending_invoice_item_interval "
        "proration_behavior transfer_data trial_end trial_from_plan trial_period_days trial_settings"
    ),
    ("DELETE", "/v1/subscriptions/{id}"): _known("cancellation_details invoice_now prorate"),
    ("POST", "/v1/subscriptions/{id}"): _known(
        "add_invoice_items application_fee_percent automatic_tax billing_cycle_anchor billing_schedules "
        "billing_thresholds cancel_at cancel_at_period_end cancellation_details collection_method "
        "days_until_due default_payment_method default_source default_tax_rates description discounts "
        "invoice_settings items metadata off_session on_behalf_of pause_collection payment_behavior "
        "payment_settings pending_invoice_item_interval proration_behavior proration_date transfer_data "
        "trial_end trial_from_plan trial_settings"
    ),
    ("GET", "/v1/webhook_endpoints"): _known(_PAGE),
    ("POST", "/v1/webhook_endpoints"): _known("api_version connect description enabled_events metadata url"),
    ("POST", "/v1/webhook_endpoints/{id}"): _known("description disabled enabled_events metadata url"),
}
"""By method and path of the route; an operation that is not listed takes `expand` only."""
